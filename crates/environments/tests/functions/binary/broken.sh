fine=1
if then
