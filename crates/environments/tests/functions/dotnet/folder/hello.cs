using Fission.DotNetCore.Api;

public class HelloFissionFunction
{
    public string Execute(FissionContext context) => "from a folder";
}
