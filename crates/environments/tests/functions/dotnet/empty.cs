using System;
using System.Collections.Generic;
using System.Threading.Tasks;
using Fission.DotNetCore.Api;

public class FissionFunction
{
    public string Execute(FissionContext context) => "";
}
