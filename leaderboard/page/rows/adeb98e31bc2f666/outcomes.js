window.robench = window.robench || {};
robench.outcomes_adeb98e31bc2f666 = {"data":"088db17c50ddf8b6","subset":"d570c89bf9bdbe36","n":10,"right":{"clean|none||":"r8A=","pgd|white_box|l2|0.12":"r8A=","pgd|white_box|l2|0.25":"r8A=","pgd|white_box|l2|0.5":"i8A=","pgd|white_box|l2|1.0":"goA="}};
