// Read while it is loaded and while it serves: both must see what the platform gave it.
const atLoad = process.env.GREETING;

module.exports = async () => ({ status: 200, body: `${atLoad} ${process.env.GREETING} ${process.env.FROM_START}` });
