"""A chat room: what one says, all hear. Called once per connection with the connection and all open ones."""


def main(ws, clients):
    for message in ws:
        for client in clients:
            client.send(message)
