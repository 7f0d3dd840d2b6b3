window.robench = window.robench || {};
robench.outcomes_c13b913be30c6c9f = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"bvUtf7IvX755vhfp7+/m8df/u+6/dpXe7n/P5e+Dr6COes+/197/c36Pdef9ivr9v3g+PT+vb3MLt5s2WF/g"}};
