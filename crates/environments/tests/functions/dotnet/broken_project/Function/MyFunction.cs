using Fission.DotNet.Common;

public class MyFunction
{
    public string Execute(FissionContext context) => "Hello, world!\n";
}
