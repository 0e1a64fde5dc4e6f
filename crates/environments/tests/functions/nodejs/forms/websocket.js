module.exports = (ws, clients) => {
  ws.on('message', (data) => ws.send(clients.size + ' ' + data));
};
