exports.deep = async () => ({ status: 200, body: "deep" });
