window.robench = window.robench || {};
robench.outcomes_8885852acfb22e75 = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"bvXlf7cvy659vNft7+/28ffvo+7/d7Gc5n/F5e/jr6KOSuu//8//c3zNcWf/iOr9v1g+P7+vbXPLv9s+GE/g"}};
