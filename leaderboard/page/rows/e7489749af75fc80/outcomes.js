window.robench = window.robench || {};
robench.outcomes_e7489749af75fc80 = {"data":"088db17c50ddf8b6","subset":"a18b5387a3a0a4e6","n":500,"right":{"clean|none||":"/9X1Vra7Xd51nJf/beev/d23q663f7ia5j/opeWjT7SWX8+/9e//O//le29vjvL1s1rmHz26aX67998+2E+g"}};
