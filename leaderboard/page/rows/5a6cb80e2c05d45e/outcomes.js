window.robench = window.robench || {};
robench.outcomes_5a6cb80e2c05d45e = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"kdUxVbLZKMoxhALJ5UCTAVIzkwIwcaSLZDOIpKCgCgKmsAGHhEsShMKRGETrTmLV61xAGRUiaGAGBVs2HQaA"}};
