window.robench = window.robench || {};
robench.outcomes_83dc3f08e06d7199 = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"89UhVKOLScoxlIOpzUQTAXQzk4YwYYS5RDmJtKSgSoaGmAGFxEuShs6xGUVrSGrVg1xCHRUiaWCGVVo2HUeA"}};
