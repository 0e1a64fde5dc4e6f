sleep 60 & echo $! >"$HTTP_X_PID_FILE"; printf started; wait
