window.robench = window.robench || {};
robench.outcomes_4ec0631cc651e7fb = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"79X1d7a/X/99vpf9z/+3+dX3v673dp385j/u5e2rb76Of9+/9//vu//tee/vjvr9u3p2H/27eHor99s+2N+A"}};
