module.exports = async () => { console.log("one\ntwo"); console.error("three"); return { status: 200, body: "printed" }; };
