window.robench = window.robench || {};
robench.outcomes_c2d4055e3a14798f = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"79W3V7a/Xf59tpf9z/23+f3/+673dLn+5j/s5e2jb7aOfM/////v+//tee/vjvL9v3p2H327bH6rt9u+2N+A"}};
