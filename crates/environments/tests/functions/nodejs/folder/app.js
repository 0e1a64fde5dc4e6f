exports.hello = async () => ({ status: 200, body: "from a folder" }); module.exports.default = exports.hello;
