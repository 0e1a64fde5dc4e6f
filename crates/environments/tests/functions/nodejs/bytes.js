module.exports = async () => ({ status: 200, body: Buffer.from(Array.from({ length: 256 }, (_, i) => i)) });
