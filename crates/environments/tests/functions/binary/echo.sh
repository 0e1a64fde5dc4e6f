body=$(cat)
printf '{"method":"%s","path":"%s","query":"%s","header":"%s","body":"%s"}' "$REQUEST_METHOD" "${REQUEST_URI%%\?*}" "$(case $REQUEST_URI in *\?*) echo "${REQUEST_URI#*\?}";; esac)" "$HTTP_X_TEST" "$body"
