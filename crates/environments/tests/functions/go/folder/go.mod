module example.com/greetings

go 1.21

require example.com/vendored v1.0.0
