window.robench = window.robench || {};
robench.outcomes_24abd43da25274e9 = {"data":"59b76d130ff8c5ba","subset":"a3d403a9544329a1","n":360,"right":{"clean|none||":"/7////////////3/////f//7///////////////////////////3///n/7//"}};
