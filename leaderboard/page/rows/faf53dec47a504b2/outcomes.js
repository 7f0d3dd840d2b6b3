window.robench = window.robench || {};
robench.outcomes_faf53dec47a504b2 = {"data":"5c2190088deb5e05","subset":"b652f1e28998d927","n":79,"right":{"clean|none||":"XQAAACEAXgAAsA=="}};
