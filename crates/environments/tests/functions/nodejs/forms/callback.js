module.exports = (context, callback) => setImmediate(() => callback(202, 'called back', { 'X-Answer': 'yes' }));
