module.exports = async () => { throw new Error("the reason"); };
