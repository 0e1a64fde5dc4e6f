<html><?php
function greet(string $name): string
{
    return "Hello, $name";
}
http_response_code(202);
echo greet($_GET['name'] ?? 'world');
if (isset($_GET['exit'])) {
    exit('!');
}
?></html>
