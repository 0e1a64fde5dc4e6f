// A chat room: what one says, all hear. Called once per connection with the connection and all open ones.
module.exports = async function (ws, clients) {
  ws.on('message', (message) => {
    for (const client of clients) client.send(message.toString());
  });
};
