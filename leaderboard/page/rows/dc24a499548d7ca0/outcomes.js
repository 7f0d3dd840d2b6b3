window.robench = window.robench || {};
robench.outcomes_dc24a499548d7ca0 = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"79X1d7avX759tJf9z/+3+fXvs673d7n8Zj/s5e2hb66PXt2v3+//u//teWfvjvr9v1p2H/2/eHqrt8s+3E+A"}};
