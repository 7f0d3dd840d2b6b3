window.robench = window.robench || {};
robench.outcomes_11c3949c2f91b5b2 = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"kdUxUbPZGMoxgILJ5UCTAXIzkwYwcYC5ZHeIpKjgCgKmsCGHxEsShMKRGETrTmLUy1xAH5UiaWCGR1o+XQWA"}};
