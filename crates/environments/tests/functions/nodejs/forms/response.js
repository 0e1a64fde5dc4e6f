module.exports = async ({ response }) => { response.status(203).json({ by: 'express' }); };
