module.exports = async () => { await new Promise((done) => setTimeout(done, 300)); return { status: 200, body: "slow" }; };
