window.robench = window.robench || {};
robench.outcomes_3f841626e195d775 = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"wUUhElTzCcYTgAAwSQACiUARAwZBIKIwoqOABoCoQISEkBCDRmEChYmxAEEODCLAQBJgmVyxiGggAMCokMGA"}};
