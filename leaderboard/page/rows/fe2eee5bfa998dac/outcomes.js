window.robench = window.robench || {};
robench.outcomes_fe2eee5bfa998dac = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"AUAhEhCTAUYRIAASSQAAiSAABwJBAIAAIiOAAICgAIAgkBAAQGACgImwAAAGBAKASABAAAiAgAAAAIAoRAAA"}};
