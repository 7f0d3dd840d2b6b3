window.robench = window.robench || {};
robench.outcomes_ba397fde6550377a = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"79X1d7avX/59tJf97/+3+f3vs673d7j8Zj/s5e+hb6aOXt2v3+//u//teWfvjvr9v1p2H/27eHqrt8s+3E+A"}};
