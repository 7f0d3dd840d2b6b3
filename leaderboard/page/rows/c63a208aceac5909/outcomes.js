window.robench = window.robench || {};
robench.outcomes_c63a208aceac5909 = {"data":"088db17c50ddf8b6","subset":"d570c89bf9bdbe36","n":10,"right":{"clean|none||":"r8A=","pgd|white_box|l2|0.12":"r8A=","pgd|white_box|l2|0.25":"r8A=","pgd|white_box|l2|0.5":"j8A=","pgd|white_box|l2|1.0":"goA="}};
