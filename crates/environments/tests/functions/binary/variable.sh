#!/bin/sh
printf "%s %s %s" "$GREETING" "$GREETING" "$FROM_START"
