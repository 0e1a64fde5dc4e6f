using Fission.DotNet.Common;

public class Greeter
{
    public object Greet(object name, string id) => new { Text = $"Hello, {name}", Id = id };
}

public class Other
{
    public string Execute(FissionContext context) => "other";
}
