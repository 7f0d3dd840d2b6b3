window.robench = window.robench || {};
robench.outcomes_c2857396000a4316 = {"data":"59b76d130ff8c5ba","subset":"a3d403a9544329a1","n":360,"right":{"clean|none||":"/7//////////////////f//7///////////////////////////3///n/7//"}};
