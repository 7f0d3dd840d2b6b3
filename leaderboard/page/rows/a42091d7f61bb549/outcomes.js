window.robench = window.robench || {};
robench.outcomes_a42091d7f61bb549 = {"data":"088db17c50ddf8b6","subset":"7e53642592886e39","n":20,"right":{"clean|none||":"23Ww","pgd|white_box|l2|0.12":"23Ww","pgd|white_box|l2|0.25":"23Ww","pgd|white_box|l2|0.5":"2hWw","pgd|white_box|l2|1.0":"QgEg"}};
