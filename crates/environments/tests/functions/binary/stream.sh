printf first; sleep 0.3; printf second
