window.robench = window.robench || {};
robench.outcomes_9c9d93cc3865fe8c = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"t9UhdbPrWdpxlIO530TTif4zF8rgdZiaRj+NtKagaoaWGgmHxU+rq8qReUVviDL1m1xCHd2rSHIH9Vo+WMOA"}};
