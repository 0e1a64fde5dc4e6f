module.exports = async () => ({ status: 200, body: "Grüße, 世界 🌍" });
