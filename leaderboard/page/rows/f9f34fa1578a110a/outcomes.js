window.robench = window.robench || {};
robench.outcomes_f9f34fa1578a110a = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"AUAhEhCTAUYRIAASSQAAiQAABQJRAIAAIiOAAICgAIAgkBAAQGACgAmwAAAGBAKASABAABCAgAAAAIAoRAAA"}};
