window.robench = window.robench || {};
robench.outcomes_c21d2821239986c3 = {"data":"59b76d130ff8c5ba","subset":"a3d403a9544329a1","n":360,"right":{"clean|none||":"//////////////////////f/f//b////////////7////////9//b//v/z//"}};
