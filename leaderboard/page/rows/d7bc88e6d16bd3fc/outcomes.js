window.robench = window.robench || {};
robench.outcomes_d7bc88e6d16bd3fc = {"data":"e0130f111822ed58","subset":"335351eee63f9b6b","n":300,"right":{"clean|none||":"/////3////////////////////////////////////////////A=","pgd|white_box|linf|0.3":"///t33/795//9/7////77///////v////9//9/37////////5eA="}};
