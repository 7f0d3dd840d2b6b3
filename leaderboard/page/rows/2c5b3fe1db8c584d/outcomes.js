window.robench = window.robench || {};
robench.outcomes_2c5b3fe1db8c584d = {"data":"59b76d130ff8c5ba","subset":"44be85e25023ba0d","n":200,"right":{"clean|none||":"+///////////////////////////9////w==","fgsm|white_box|linf|0.2":"EIRIAggAAAAAAQAEAQABQhAAQAAEAAAAAA==","pgd|white_box|linf|0.2":"AARIAAgAAAAAAAAAAAABAgAAAAAEAAAAAA=="}};
