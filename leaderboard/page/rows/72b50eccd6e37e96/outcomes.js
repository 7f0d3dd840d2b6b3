window.robench = window.robench || {};
robench.outcomes_72b50eccd6e37e96 = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"wcUhF0T3DcYzsQI7SUCTiUGRBwZBdLIY4qOAhKCgSqSCkJCHTecigamxKEAODiLgEAhinVyxiGqgAMKq1MGA"}};
