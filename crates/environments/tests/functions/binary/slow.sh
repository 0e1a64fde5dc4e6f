sleep 0.3; printf slow
