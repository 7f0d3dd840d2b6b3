window.robench = window.robench || {};
robench.outcomes_ffaf3ef4f211ae56 = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"gUVhFlDzCcYRoAAQSQAAiQARBwJRIIIAoqOAAICgQISAkBACRmACgKmhAAAODALBSAJgkVyRiCggAECowYEA"}};
